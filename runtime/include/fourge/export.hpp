// Symbol visibility of the shared library. The library is built with hidden visibility; what carries
// FOURGE_API is its interface.
#pragma once

#if defined(__GNUC__)
#define FOURGE_API __attribute__((visibility("default")))
#else
#define FOURGE_API
#endif
