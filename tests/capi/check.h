/* Checks for tests in C. A failed one is printed and counted; the program goes on. */
#ifndef FOURGE_TESTS_CAPI_CHECK_H
#define FOURGE_TESTS_CAPI_CHECK_H

#include <stdio.h>
#include <string.h>

extern int failed_checks;

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      ++failed_checks;                                                        \
      fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                         \
  } while (0)

#define CHECK_TEXT(found, wanted) CHECK((found) != NULL && strcmp((found), (wanted)) == 0)

/* The call fails with this status and a message that holds the text. */
#define CHECK_FAILS(call, wanted, text)                                \
  do {                                                                 \
    fourge_error* error = NULL;                                        \
    CHECK((call) == (wanted));                                         \
    CHECK(fourge_error_status(error) == (wanted));                     \
    CHECK(strstr(fourge_error_message(error), (text)) != NULL);        \
    if (strstr(fourge_error_message(error), (text)) == NULL) {         \
      fprintf(stderr, "  it says: %s\n", fourge_error_message(error)); \
    }                                                                  \
    fourge_error_free(error);                                          \
  } while (0)

#define CHECK_OK(call)                                        \
  do {                                                        \
    fourge_error* error = NULL;                               \
    CHECK((call) == FOURGE_OK);                               \
    if (error != NULL) {                                      \
      fprintf(stderr, "  %s\n", fourge_error_message(error)); \
    }                                                         \
    fourge_error_free(error);                                 \
  } while (0)

void test_abi(void);
void test_operations(void);
void test_options(void);
void test_runtime(void);
void test_host_execution(void);
void test_serving(void);

#endif
