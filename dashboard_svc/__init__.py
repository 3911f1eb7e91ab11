"""The dashboard: one page per site, the Stats API, and the live stream passed on to browsers.

Views parse, ask and render; what is asked and how it looks lies in pure modules beside them.
"""
