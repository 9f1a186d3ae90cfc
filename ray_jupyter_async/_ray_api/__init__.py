"""Everything that names Ray's private API; a Ray upgrade has one address."""
