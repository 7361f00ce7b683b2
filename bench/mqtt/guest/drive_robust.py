# umqtt.robust: umqtt.simple that connects again by itself.

from drive_simple import Driver as Simple
from umqtt import robust


class Driver(Simple):
    module = robust
