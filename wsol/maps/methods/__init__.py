"""Ways to make a map: one file a family, all behind `wsol.maps.methods.catalog`."""
