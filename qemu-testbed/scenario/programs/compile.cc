// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// For compiling: the C++ compiler needs twice the memory that the benchmark leaves it for this.
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

int main(int argc, char **argv)
{
	std::map<std::string, std::vector<int>> places;
	for (int i = 0; i < argc; i++)
		places[argv[i]].push_back(i);
	std::cout << places.size() << '\n';
	return 0;
}
