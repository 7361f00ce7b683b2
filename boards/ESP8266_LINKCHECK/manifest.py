include("../ESP8266_GENERIC/manifest.py")
