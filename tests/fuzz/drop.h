// Given to the compiler with -include for the mutation check: which bounds check
// of the code under test is taken out, 0 for none. See BOUND() in the cores.
extern unsigned drop_check;
#define MQTT_TEST_DROP_CHECK drop_check
#define RINGLOG_TEST_DROP_CHECK drop_check
