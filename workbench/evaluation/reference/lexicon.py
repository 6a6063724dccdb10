"""The words the reference suite is made of: names, places, things, signals of sentiment and topic.

Lists are long on purpose: binding a name to a value in context only forms when names are too many to memorise.
Changing any list changes the data hash, so the shipped checkpoints would have to be trained again.
"""

NAMES: tuple[str, ...] = tuple(
    "Ann Bob Carl Dora Eve Finn Gus Hana Ivan Jade Kurt Lena Mona Nils Olga Paul Rita Sven Tina Uma Vera Walt Yara Zoe "
    "Adam Bella Cora Dan Ella Frank Gina Hugo Iris Jack Kara Leo Mia Noah Omar Pia Quinn Rosa Sam Theo Ursula Victor "
    "Wendy Xenia Yusuf Zack Alma Boris Clara David Emma Felix Greta Henry Ida Jonas Karim Luna Marco Nora".split()
)
CITIES: tuple[str, ...] = tuple(
    "Rome Oslo Paris Lima Cairo Delhi Tokyo Quito Seoul Berlin Madrid Boston Dublin Vienna Lagos Perth Athens Baku "
    "Bern Bogota Brussels Budapest Chicago Dakar Dallas Denver Doha Dubai Geneva Hanoi Havana Helsinki Houston "
    "Istanbul Jakarta Kabul Kiev Kyoto Lisbon London Lyon Manila Miami Milan Minsk Moscow Mumbai Munich Nairobi "
    "Naples Osaka Ottawa Prague Riga Santiago Sofia Sydney Tehran Tunis Turin Venice Warsaw Zagreb Zurich".split()
)
JOBS: tuple[str, ...] = tuple(
    "pilot nurse baker clerk judge miner tailor farmer doctor driver lawyer painter singer teacher waiter writer".split()
)
PETS: tuple[str, ...] = tuple("cat dog horse parrot rabbit turtle goat duck snake mouse pig sheep".split())
PLACES: tuple[str, ...] = tuple(
    "museum library bridge theatre station market castle school harbour temple tower park".split()
)
ITEMS: tuple[str, ...] = tuple("apples books coins pens cards stamps shells plums keys bottles cups lamps".split())
MAIL_HOSTS: tuple[str, ...] = ("mail.com", "site.org", "post.net", "web.io")
DAYS: tuple[str, ...] = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS: tuple[str, ...] = tuple(
    "January February March April May June July August September October November December".split()
)
POSITIVE: tuple[str, ...] = tuple(
    "good great lovely superb delightful brilliant pleasant charming excellent wonderful".split()
)
NEGATIVE: tuple[str, ...] = tuple("bad awful dreadful terrible boring horrid ugly poor nasty dismal".split())
REVIEWED: tuple[str, ...] = tuple("film meal hotel concert novel phone garden lecture".split())
TOPICS: dict[str, tuple[str, ...]] = {
    "sport": tuple("match goal team coach league referee striker stadium".split()),
    "food": tuple("recipe oven sauce chef flavour dessert spice kitchen".split()),
    "science": tuple("atom telescope enzyme theory laboratory molecule orbit genome".split()),
    "travel": tuple("airport luggage passport tourist cruise itinerary hostel voyage".split()),
}
ADJECTIVES: tuple[str, ...] = tuple("new old big small famous local recent quiet".split())
ORDINALS: tuple[str, ...] = ("first", "second", "third", "fourth", "fifth", "sixth")
LETTERS = "abcdefghijklmnoprstuvwy"
ABSENT = "not in the context"
