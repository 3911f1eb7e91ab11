"""Questions that rollups cannot answer, answered from one site's rows of the archive.

Whatever is filtered or combined, it is the fold that counts, so that numbers never disagree with rollups.
"""
