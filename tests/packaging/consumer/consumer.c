/* Uses the C API of an installed fourge. */
#include <fourge/c_args.h>
#include <fourge/fourge.h>

#include <stdio.h>

int main(void) {
  fourge_nvfp4_quantize_args args;
  fourge_error* error = NULL;
  if (fourge_abi_version() != FOURGE_ABI_VERSION ||
      fourge_args_init("nvfp4_quantize", &args, sizeof(args), &error) != FOURGE_OK) {
    return 1;
  }
  printf("fourge %s, batches %d\n", fourge_version(), (int)args.batches);
  return 0;
}
