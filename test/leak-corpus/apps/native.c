// A native leak: 4 KiB of malloc memory for each call, seen by no JavaScript tool.
#include <node_api.h>
#include <stdlib.h>
#include <string.h>

// Without it the compiler sees that nobody reads the block, and leaves the malloc out.
static void *volatile newest;

static napi_value keep(napi_env env, napi_callback_info info) {
  char *block = malloc(4096);
  if (block) memset(block, 1, 4096);
  newest = block;
  return NULL;
}

NAPI_MODULE_INIT() {
  napi_value fn;
  napi_create_function(env, "keep", NAPI_AUTO_LENGTH, keep, NULL, &fn);
  napi_set_named_property(env, exports, "keep", fn);
  return exports;
}
