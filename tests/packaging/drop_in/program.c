/* A program as its author wrote it against recent_visits.h: it knows nothing of samebytes, and includes nothing that the known header
 * includes already. */

#include "recent_visits.h"

static void show(VisitManager *manager, uint32_t user_id) {
  size_t count;
  Visit **visits = VisitManagerGetRecentVisits(manager, user_id, &count);
  printf("%u:", user_id);
  for (size_t i = 0; i < count; i++) {
    Visit *visit = visits[i];
    struct timespec time = visit->time;
    if (time.tv_sec == 0 || time.tv_nsec < 0) abort();
    printf(" %u %s %s", visit->visit_id, visit->url, visit->text);
  }
  printf("\n");
}

int main(int count, char **arguments) {
  if (count != 2 || strlen(arguments[1]) == 0) return 2;
  VisitManager *manager = VisitManagerCreate(arguments[1], 2);
  if (manager == NULL) return 1;
  uint32_t unwanted[] = {2};
  bool good = VisitManagerAddVisit(manager, 7, 1, "/one", "first") && VisitManagerAddVisit(manager, 7, 2, "/two", "second") &&
              VisitManagerAddVisit(manager, 7, 3, "/three", "third");
  show(manager, 7);
  good = good && VisitManagerDelete(manager, 7, unwanted, 1) && !VisitManagerDelete(manager, 7, unwanted, 1);
  show(manager, 7);
  good = good && VisitManagerAddVisit(manager, 8, 1, "/", "");
  VisitManagerClear(manager, 8);
  show(manager, 8);
  VisitManagerFree(manager);
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
