"""What a run does, as data: from the record in its directory it goes on, is repeated, and is looked at again."""
