"""What a layer needs beyond a tensor: its true fans, its gates, its bias."""
