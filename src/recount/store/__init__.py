"""Where things are kept: catalog, salts, raw batches, archive, rollup segments, manifests."""
