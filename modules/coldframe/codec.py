"""The MQTT packet codec: the C module where the image has it, else the same in Python.

    from coldframe.codec import Decoder, publish, PUBLISH

The API is described in cmodules/mqttpacket/mqttpacket.pyi.
"""

try:
    from mqttpacket import *
except ImportError:
    from coldframe.codec_py import *
