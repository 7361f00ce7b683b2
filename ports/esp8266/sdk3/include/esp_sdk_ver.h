// esp-open-sdk generates this file. The libraries of the crate say 3.0.6-dev (072755c).
#define ESP_SDK_VERSION 030006
