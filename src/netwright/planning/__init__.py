"""What training costs, and settings that fit the data and the device."""
