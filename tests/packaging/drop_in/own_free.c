/* A program that has a function of its own under one of the names, and takes the others from the library. */

#include <stdio.h>

#include <recent_visits.h>

void VisitManagerFree(VisitManager *manager) { printf("its own VisitManagerFree, of %s\n", manager == NULL ? "nothing" : "a manager"); }

int main(int count, char **arguments) {
  VisitManager *manager = VisitManagerCreate(arguments[count - 1], 2);
  if (!VisitManagerAddVisit(manager, 1, 1, "/", "")) return 1;
  VisitManagerFree(manager);
  return 0;
}
