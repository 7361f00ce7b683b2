# What is frozen: what an ESP8266 gets, and the codec's Python twin. An ESP8266 has no room for that one and never
# needs it; here the tests compare the C module with it, on this processor.
include("../../manifest.py", tier="core")
package(
    "coldframe", ("codec_py_checks.py", "codec_py_encode.py", "codec_py.py"), base_path="../../modules", opt=1
)
