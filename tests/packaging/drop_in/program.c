/* A program as its author wrote it against recent_visits.h: it knows nothing of samebytes. */

#include <stdio.h>
#include <string.h>

#include <recent_visits.h>

static void show(VisitManager *manager, unsigned int user) {
  size_t count = 0;
  const Visit *visits = GetRecentVisits(manager, user, &count);
  printf("%u:", user);
  for (size_t i = 0; i < count; i++) printf(" %u %s %s", visits[i].visit_id, visits[i].url, visits[i].text);
  printf("\n");
}

int main(int count, char **arguments) {
  if (count != 2) return 2;
  VisitManager *manager = VisitManagerCreate(arguments[1], 2);
  if (manager == NULL) return 1;
  const unsigned int unwanted[] = {2};
  bool good = AddVisit(manager, 7, 1, "/one", "first") && AddVisit(manager, 7, 2, "/two", "second") &&
              AddVisit(manager, 7, 3, "/three", "third");
  show(manager, 7);
  good = good && Delete(manager, 7, unwanted, 1) && !Delete(manager, 7, unwanted, 1);
  show(manager, 7);
  good = good && AddVisit(manager, 8, 1, "/", "") && Clear(manager, 8);
  show(manager, 8);
  Free(manager);
  return good ? 0 : 1;
}
