"""The stages: each glues library modules together for one kind of work. Imported one by one, by what runs them."""
