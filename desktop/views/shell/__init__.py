"""The window itself: navigation, foot, palette, keys, news, and the dropping of files."""
