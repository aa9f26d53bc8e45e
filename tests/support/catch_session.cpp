#define CATCH_CONFIG_RUNNER
#include "tests/support/catch_session.hpp"

#include "tests/support/catch.hpp"

namespace fourge::tests {

int run_catch(int argc, char* argv[]) { return Catch::Session().run(argc, argv); }

}  // namespace fourge::tests
