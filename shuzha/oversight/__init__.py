"""What the city's supervisors and the public see: usage beside money, the logs, and all that is public."""
