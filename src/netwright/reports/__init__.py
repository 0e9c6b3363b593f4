"""Output for people: text, pages, charts."""
