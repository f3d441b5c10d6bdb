/* A program that uses samebytes, and has functions of its own under the names of the drop-in headers, some with other parameters, and under
 * short ones that a library of visits could have taken. */

#include <stdio.h>

#include <samebytes/samebytes.h>

int VisitManagerCreate(void);
int VisitManagerFree(int value);
int VisitManagerAddVisit(void);
int VisitManagerGetRecentVisits(void);
int VisitManagerDelete(const char *name);
int VisitManagerClear(void);
int Free(void);
int VisitManagerCreate(void) { return 1; }
int VisitManagerFree(int value) { return value + 1; }
int VisitManagerAddVisit(void) { return 3; }
int VisitManagerGetRecentVisits(void) { return 4; }
int VisitManagerDelete(const char *name) { return name[0] - '0'; }
int VisitManagerClear(void) { return 6; }
int Free(void) { return 7; }

int main(void) {
  if (sb_version() >> 16 != SB_VERSION_MAJOR) return 1;
  printf("%d %d %d %d ", VisitManagerCreate(), VisitManagerFree(1), VisitManagerAddVisit(), VisitManagerGetRecentVisits());
  printf("%d %d %d\n", VisitManagerDelete("5"), VisitManagerClear(), Free());
  return 0;
}
