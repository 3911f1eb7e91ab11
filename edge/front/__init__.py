"""The front door's configuration: files to read, filled in with the settings by `render`."""
