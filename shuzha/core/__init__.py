"""What every room stands on: ids, time, law, money, errors, lifecycles, the unit of work, jobs, keys, settings."""
