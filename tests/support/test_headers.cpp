// Nothing but what its precompiled header is compiled for (cmake/FourgeTest.cmake).
int main() { return 0; }
