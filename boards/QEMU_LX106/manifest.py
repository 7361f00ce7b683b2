# What is frozen: what an ESP8266 gets, and the Python twins of the codec and of the writer. An ESP8266 has no room for
# them and never needs them; here the tests compare the C module with them, on this processor.
include("../../manifest.py", tier="core")
TWINS = ("codec_py_checks.py", "codec_py_encode.py", "codec_py.py", "mqtt/writer_py.py")
package("coldframe", TWINS, base_path="../../modules", opt=1)
