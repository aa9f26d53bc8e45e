#include "tools/bench/series.hpp"

#include <cstdio>

namespace fourge::tools {

void SeriesEnd::add_to(Json& document) const {
  document["complete"] = complete;
  if (!error.is_null()) document["error"] = error;
}

SeriesEnd run_series(const std::function<void()>& measure) {
  SeriesEnd end;
  try {
    measure();
  } catch (const std::exception& exception) {
    if (!Interruption::wanted()) {
      end.code = report_exception(exception, false);
      end.error = error_object(exception);
      end.complete = false;
      return end;
    }
    // What was cancelled, or lost its workers to the same signal.
  }
  if (Interruption::wanted()) {
    std::fputs("fourge: interrupted; what was printed had been measured\n", stderr);
    end.code = ExitCode::interrupted;
    end.complete = false;
  }
  return end;
}

}  // namespace fourge::tools
