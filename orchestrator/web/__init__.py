"""The web page of the farm, on the server of the API."""
