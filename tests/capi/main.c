/* The C API, from C, against libfourge.so. */
#include <stdlib.h>

#include "tests/capi/check.h"

int failed_checks = 0;

int main(void) {
  test_abi();
  test_operations();
  test_options();
  test_runtime();
  test_host_execution();
  test_serving();
  if (failed_checks == 0) {
    printf("all checks passed\n");
  }
  return failed_checks == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
