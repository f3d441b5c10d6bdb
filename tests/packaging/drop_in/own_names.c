/* A program that uses samebytes, and has functions of its own under the names of the drop-in headers, some with other parameters. */

#include <stdio.h>

#include <samebytes/samebytes.h>

int VisitManagerCreate(void);
int Free(int value);
int AddVisit(void);
int GetRecentVisits(void);
int Delete(const char *name);
int Clear(void);
int VisitManagerCreate(void) { return 1; }
int Free(int value) { return value + 1; }
int AddVisit(void) { return 3; }
int GetRecentVisits(void) { return 4; }
int Delete(const char *name) { return name[0] - '0'; }
int Clear(void) { return 6; }

int main(void) {
  if (sb_version() >> 16 != SB_VERSION_MAJOR) return 1;
  printf("%d %d %d %d %d %d\n", VisitManagerCreate(), Free(1), AddVisit(), GetRecentVisits(), Delete("5"), Clear());
  return 0;
}
