"""The words by which places between two words are recognised; see joints.py."""

from __future__ import annotations

from proxy.marks.words import phrases, words

SUBJECTS = words("he she we they i he's she's we're they're we've they've we'll they'll")
EITHER = words("it you there this these those")  # subjects, if a verb follows that has to have one
CLAUSES = words("it's you're there's you'll you've it'll")
VERBS = words(
    "is are was were has have had can could will would may might must should cannot can't couldn't won't wouldn't "
    "shouldn't isn't aren't wasn't weren't hasn't haven't hadn't do does did don't doesn't didn't need needs"
)
SAYING = words(
    "say says said think thinks thought believe believes believed know knows knew suppose supposes supposed hope hopes "
    "hoped feel feels felt assume assumes assumed ensure ensures ensuring ensured sure certain means meant realize "
    "realizes realized claim claims claimed guess guessed imagine imagined everything anything something"
)
NESTING = words("if when because since although though while whereas unless until till where whether once as")
CONCESSIONS = words("although though even whereas while")
CAUSES = words("because unless")
DENYING = words("not cannot never no nor neither none nobody nothing hardly scarcely rarely seldom only just")
FOCUS = words("especially particularly")
FOCUSED = words("when if in for the those as with on at to")
OPENERS = words(
    "then thus therefore hence consequently today now sometimes occasionally often frequently usually typically "
    "generally normally currently recently lately eventually initially finally meanwhile traditionally historically "
    "previously originally later afterward afterwards instead similarly likewise nowadays mostly otherwise "
    "nevertheless nonetheless here next theoretically ultimately overall fortunately luckily"
) | phrases(
    "at first; in this case; in that case; in these cases; in those cases; in some cases; "
    "in certain cases; in many cases; in most cases; in such cases; in practice; in theory; in principle; "
    "in the past; in the future; "
    "in the meantime; in recent years; in this way; in this example; in this section; in this chapter; "
    "in the end; in both cases; by default; at present; at times; at that time; at this point; at that point; "
    "at the same time; after that; before that; after this; as a rule; as usual; by then; over time; with time; "
    "over the years; for now; for this purpose; for this reason; because of this; at the beginning; at the end; "
    "on average; once again; once more; in time; these days; in turn; to this end; in this context; "
    "in other cases; for many years; in each case; in either case; in any case; in general; "
    "on the whole; back then"
)
OPENED = (
    SUBJECTS
    | EITHER
    | CLAUSES
    | words(
        "the a an that his her its our their my your each every all some many most several both no one any such "
        "another if when"
    )
)
# Conditions take no notice of a comma before one of these.
UNSEEN_BEFORE = words(
    "and or but yet although though even whereas while especially particularly including too as unless except apart "
    "regardless irrespective depending rather instead because so"
)
# What begins a sentence that goes on from the one before it; no row exchanges one of these for a word that is not among
# them. The first connect the two sentences, the others have to come after a shorter one.
CONNECTING = words(
    "however but otherwise consequently therefore thus hence also similarly likewise nevertheless nonetheless"
)
STARTING = CONNECTING | words(
    "the a an if when while although though because since unless after each every whenever some certain most many "
    "numerous several both any no all another its his her their our your such here in for note keep this these those"
)
# What has to follow some of them: else they begin no sentence, or a row that begins with them exchanges them.
STARTED = {
    "in": words("this that these those such some certain most many all both each general practice principle"),
    "for": words("example instance"),
    "note": words("that"),
    "keep": words("in"),
}
GOING_ON = SUBJECTS | CLAUSES | STARTING | words("it you there this these") - words("i")
# A subject that shows, together with one of the verbs, that a phrase before it has ended.
LED = SUBJECTS | words("it you there it's you're there's you'll it'll this")
FINITE = words("can could will would should may might must is are was were cannot can't won't wouldn't isn't aren't")
JOINED = UNSEEN_BEFORE | OPENED | LED  # words that a place stands before, unless a sign or a verb is on its left
AND = words("and or")
NO_COMMA_BEFORE_BUT = words("nothing anything all none everything everyone not nobody no-one last can cannot can't")
SHORT = words(  # short forms with a verb
    "it's that's there's here's what's who's he's she's i'm i've you're we're they're you'll we'll they'll it'll "
    "you've we've they've"
)
FINITE_WORDS = VERBS | SHORT  # words that are, or contain, a verb by which a clause is recognised
# What "but" sets against what stands before it.
CONTRASTED = words(
    "the a an this these those its their your his her our no not only also still in on at with can could will would "
    "may might must should is are was were does do did has have had cannot can't couldn't won't wouldn't shouldn't "
    "isn't aren't wasn't weren't doesn't don't didn't hasn't haven't hadn't"
)
# What may begin the clause after a condition besides a subject: words whose places "then" does not affect.
CONCLUDING = words("the a an this these those its your their our his her my any no all some")
LEADING = words("in on at by for with from after before during under over within without among through despite to")
