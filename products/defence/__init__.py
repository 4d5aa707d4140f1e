"""Against enumeration: how much one key may ask, how often one subject may be asked about, and who hears of it."""
