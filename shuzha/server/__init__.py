"""The composition root: it joins the rooms into processes and imports everything; nothing imports it."""
