"""Everything a person can do, once: menus, keys, the palette, the key sheet and tests all read this table.

`ALL` is the table of facts; who carries a command out is the window or the page in front, by the command's id.
"""

from desktop.commands.command import Command
from desktop.commands.table import ALL, BY_ID, PLACES, Place, title_of_group

__all__ = ["ALL", "BY_ID", "PLACES", "Command", "Place", "title_of_group"]
