// A series of measurements, whose results are not lost when it does not come to its end.
#pragma once

#include <functional>

#include "tools/interruption.hpp"
#include "tools/report.hpp"

namespace fourge::tools {

struct SeriesEnd {
  ExitCode code = ExitCode::ok;
  bool complete = true;
  Json error;  // null: none

  // Adds "complete", and "error" if there is one.
  void add_to(Json& document) const;
};

// measure() returns early when Interruption::wanted(); some Interruption lives. What it throws ends the series too,
// and has been told on standard error when this returns, as has an interruption.
SeriesEnd run_series(const std::function<void()>& measure);

}  // namespace fourge::tools
