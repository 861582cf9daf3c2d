"""The screens, one folder each: thin widgets over presenters. They reach no store, no engine and no network."""
