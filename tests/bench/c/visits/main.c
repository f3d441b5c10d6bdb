/* The benchmark of visits in C.
 *
 *   visits small FOLDER SAMPLES     adds, gets and deletes on 100,000 visits, and durable adds
 *   visits prepare FOLDER           makes the stores of 1,000,000 visits that `large` reads
 *   visits large FOLDER SAMPLES     opens, scans, compactions, sizes
 *   visits stalls FOLDER SAMPLES    how long an add takes at worst, and one user with 1,000,000 visits; FOLDER in memory
 *
 * FOLDER should otherwise be on a disk: what a sync costs is part of it. The first sample of 15 that bench.py asks for are 3 here, each over all of the work. */
#include "work.h"

#include <sys/stat.h>

int main(int argc, char **argv) {
  const char *usage = "usage: visits small FOLDER SAMPLES | prepare FOLDER | large FOLDER SAMPLES | stalls FOLDER SAMPLES";
  if (argc < 3) bench_fail("%s", usage);
  (void)mkdir(argv[2], 0755);
  size_t samples = argc == 4 ? (strtoul(argv[3], NULL, 10) + 4) / 5 : 0;
  if (strcmp(argv[1], "prepare") == 0 && argc == 3)
    prepare_large(argv[2]);
  else if (strcmp(argv[1], "small") == 0 && samples > 0)
    run_small(argv[2], samples);
  else if (strcmp(argv[1], "large") == 0 && samples > 0)
    run_large(argv[2], samples);
  else if (strcmp(argv[1], "stalls") == 0 && samples > 0)
    run_stalls(argv[2], samples);
  else
    bench_fail("%s", usage);
  return 0;
}
