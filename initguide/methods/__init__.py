"""The methods, one file each; `registry.METHODS` lists their records."""
