// What most tests include, compiled once for all of a folder. They include what they use all the same.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <variant>
#include <vector>
