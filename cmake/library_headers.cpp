// Nothing but what its precompiled header is compiled for (FourgeLibraryHeaders.cmake).
