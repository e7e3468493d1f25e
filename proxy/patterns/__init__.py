"""What authors' patterns are matched with: text brought into one form, linear time, and files of phrases."""
