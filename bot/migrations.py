"""The database's schema, one migration after another. A migration that was released is never edited."""

from sqlite_utils import Database, Migrations

migrations = Migrations("care")


@migrations()
def turns_and_ratings(db: Database) -> None:
    """Questions with their replies, and what people think of them."""
    db.execute(
        """
        CREATE TABLE turns (
            id TEXT PRIMARY KEY NOT NULL,
            platform TEXT NOT NULL,
            event_id TEXT NOT NULL,
            conversation_id TEXT NOT NULL,
            user_id TEXT NOT NULL,
            private INTEGER NOT NULL CHECK (private IN (0, 1)),
            question TEXT NOT NULL,
            prompt TEXT,
            replaces TEXT,
            domain TEXT NOT NULL,
            status TEXT NOT NULL
                CHECK (status IN ('received', 'answering', 'answered', 'delivered', 'cancelled', 'failed')),
            answer TEXT,
            lora_id TEXT,
            reply_ref TEXT,
            error TEXT,
            finish_reason TEXT,
            prompt_tokens INTEGER NOT NULL DEFAULT 0,
            completion_tokens INTEGER NOT NULL DEFAULT 0,
            asked_at TEXT NOT NULL,
            answered_at TEXT,
            UNIQUE (platform, event_id)
        ) STRICT
        """
    )
    db.execute("CREATE INDEX turns_by_conversation ON turns (platform, conversation_id)")
    db.execute("CREATE INDEX turns_by_user ON turns (platform, user_id)")
    db.execute("CREATE INDEX turns_in_progress ON turns (status) WHERE status IN ('received', 'answering', 'answered')")
    db.execute("CREATE INDEX turns_replaced ON turns (replaces) WHERE replaces IS NOT NULL")
    db.execute(
        """
        CREATE TABLE ratings (
            turn_id TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
            user_id TEXT NOT NULL,
            verdict INTEGER NOT NULL CHECK (verdict IN (1, -1, 0)),
            reason TEXT,
            correction TEXT,
            rated_at TEXT NOT NULL,
            PRIMARY KEY (turn_id, user_id)
        ) STRICT, WITHOUT ROWID
        """
    )


@migrations()
def learning(db: Database) -> None:
    """What waits for a reviewer, what goes out to people, who does not take part, and which LoRAs passed their smoke test."""
    db.execute(
        """
        CREATE TABLE reviews (
            turn_id TEXT PRIMARY KEY NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
            sha256 TEXT NOT NULL,
            domain TEXT NOT NULL,
            instruction TEXT NOT NULL,
            input TEXT NOT NULL,
            response TEXT NOT NULL,
            source TEXT NOT NULL,
            why TEXT NOT NULL,
            people TEXT NOT NULL,
            queued_at TEXT NOT NULL,
            decision TEXT CHECK (decision IN ('approved', 'edited', 'rejected')),
            edited TEXT,
            reviewer TEXT,
            reviewed_at TEXT
        ) STRICT
        """
    )
    db.execute("CREATE INDEX reviews_waiting ON reviews (queued_at) WHERE decision IS NULL")
    db.execute(
        """
        CREATE TABLE notices (
            id TEXT PRIMARY KEY NOT NULL,
            kind TEXT NOT NULL CHECK (kind IN ('report', 'rollback', 'taught')),
            platform TEXT NOT NULL,
            user_id TEXT NOT NULL,
            subject TEXT NOT NULL,
            turn_id TEXT REFERENCES turns (id) ON DELETE CASCADE,
            text TEXT NOT NULL,
            report TEXT,
            created_at TEXT NOT NULL,
            sent_at TEXT,
            UNIQUE (kind, platform, user_id, subject)
        ) STRICT
        """
    )
    db.execute(
        "CREATE TABLE opt_outs (platform TEXT NOT NULL, user_id TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (platform, user_id)) STRICT"
    )
    db.execute(
        "CREATE TABLE smoke_tests (lora_id TEXT PRIMARY KEY NOT NULL, passed INTEGER NOT NULL, said TEXT NOT NULL, at TEXT NOT NULL) STRICT"
    )
    db.execute("CREATE INDEX turns_by_lora ON turns (lora_id)")


@migrations()
def names(db: Database) -> None:
    """How the platform shows the person who asked: what has to be masked before a text is learned."""
    db.execute("ALTER TABLE turns ADD COLUMN user_name TEXT")


@migrations()
def threads(db: Database) -> None:
    """Which messages asked and answered, which conversation goes on where, who knows what CARE is, and what was forgotten."""
    db.execute("ALTER TABLE turns ADD COLUMN message TEXT")
    db.execute("ALTER TABLE turns ADD COLUMN edition TEXT NOT NULL DEFAULT ''")
    db.execute("CREATE UNIQUE INDEX turns_by_message ON turns (platform, message, edition) WHERE message IS NOT NULL")
    db.execute("ALTER TABLE ratings ADD COLUMN author_id TEXT")
    db.execute(
        """
        CREATE TABLE replies (
            platform TEXT NOT NULL,
            message TEXT NOT NULL,
            turn_id TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
            PRIMARY KEY (platform, message)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX replies_by_turn ON replies (turn_id)")
    db.execute(
        """
        CREATE TABLE newest (
            platform TEXT NOT NULL,
            place TEXT NOT NULL,
            conversation_id TEXT NOT NULL,
            PRIMARY KEY (platform, place)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute(
        "CREATE TABLE introduced (platform TEXT NOT NULL, user_id TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (platform, user_id)) STRICT"
    )
    db.execute("CREATE TABLE forgotten (sha256 TEXT PRIMARY KEY NOT NULL, at TEXT NOT NULL) STRICT, WITHOUT ROWID")


@migrations()
def handovers(db: Database) -> None:
    """What people took over, what was written to them since, and which notices a platform has posted."""
    db.execute(
        """
        CREATE TABLE handovers (
            id TEXT PRIMARY KEY NOT NULL,
            platform TEXT NOT NULL,
            conversation_id TEXT NOT NULL,
            user_id TEXT NOT NULL,
            turn_id TEXT REFERENCES turns (id) ON DELETE SET NULL,
            begun_at TEXT NOT NULL,
            message TEXT,
            ended_at TEXT
        ) STRICT
        """
    )
    db.execute("CREATE UNIQUE INDEX handovers_standing ON handovers (platform, conversation_id) WHERE ended_at IS NULL")
    db.execute("CREATE INDEX handovers_by_message ON handovers (platform, message)")
    db.execute("CREATE INDEX handovers_by_turn ON handovers (turn_id)")
    db.execute(
        """
        CREATE TABLE relays (
            turn_id TEXT PRIMARY KEY NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
            handover_id TEXT NOT NULL REFERENCES handovers (id) ON DELETE CASCADE,
            sent_at TEXT
        ) STRICT
        """
    )
    db.execute("CREATE INDEX relays_by_handover ON relays (handover_id)")
    db.execute(
        """
        CREATE TABLE told (
            notice_id TEXT NOT NULL REFERENCES notices (id) ON DELETE CASCADE,
            platform TEXT NOT NULL,
            at TEXT NOT NULL,
            PRIMARY KEY (notice_id, platform)
        ) STRICT, WITHOUT ROWID
        """
    )


@migrations()
def erasures(db: Database) -> None:
    """Who was forgotten, by a hash; while something is left to do outside of the database, by name and examples."""
    db.execute(
        """
        CREATE TABLE erasures (
            id TEXT PRIMARY KEY NOT NULL,
            at TEXT NOT NULL,
            person_sha256 TEXT NOT NULL,
            turns INTEGER NOT NULL,
            ratings INTEGER NOT NULL,
            person TEXT,
            examples TEXT,
            receipt TEXT,
            finished_at TEXT
        ) STRICT
        """
    )


@migrations()
def reactions(db: Database) -> None:
    """Which votes were set by a reaction: only those go when the reaction is taken back."""
    db.execute("ALTER TABLE ratings ADD COLUMN by_reaction INTEGER NOT NULL DEFAULT 0 CHECK (by_reaction IN (0, 1))")


@migrations()
def where_people_were_asked_for(db: Database) -> None:
    """The thread in which somebody asked for a person: there they get their answers."""
    db.execute("ALTER TABLE handovers ADD COLUMN thread TEXT")
    db.execute("CREATE INDEX handovers_by_thread ON handovers (platform, thread)")


@migrations()
def what_experts_answered(db: Database) -> None:
    """What experts wrote in hand-overs, by its message: an outbox. What was brought to the asker keeps no text."""
    db.execute(
        """
        CREATE TABLE expert_replies (
            platform TEXT NOT NULL,
            message TEXT NOT NULL,
            handover_id TEXT NOT NULL REFERENCES handovers (id) ON DELETE CASCADE,
            expert_id TEXT NOT NULL,
            text TEXT NOT NULL,
            said_at TEXT NOT NULL,
            sent_at TEXT,
            PRIMARY KEY (platform, message)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX expert_replies_by_handover ON expert_replies (handover_id)")


@migrations()
def removals(db: Database) -> None:
    """Messages that carried replies to what was deleted, until the platform has taken them away."""
    db.execute(
        "CREATE TABLE removals (platform TEXT NOT NULL, message TEXT NOT NULL, PRIMARY KEY (platform, message)) STRICT, WITHOUT ROWID"
    )


@migrations()
def addresses(db: Database) -> None:
    """How a platform's places are written to unasked, and ratings that name no answer."""
    db.execute(
        """
        CREATE TABLE addresses (
            platform TEXT NOT NULL,
            place TEXT NOT NULL,
            address TEXT NOT NULL,
            user_id TEXT,
            reached_at TEXT NOT NULL,
            PRIMARY KEY (platform, place)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX addresses_by_user ON addresses (platform, user_id) WHERE user_id IS NOT NULL")
    db.execute("CREATE INDEX addresses_by_time ON addresses (platform, reached_at)")
    db.execute(
        """
        CREATE TABLE unattributed_ratings (
            platform TEXT NOT NULL,
            user_id TEXT NOT NULL,
            conversation_id TEXT NOT NULL,
            verdict INTEGER NOT NULL CHECK (verdict IN (1, -1, 0)),
            reason TEXT,
            rated_at TEXT NOT NULL
        ) STRICT
        """
    )
    db.execute("CREATE INDEX unattributed_ratings_by_user ON unattributed_ratings (platform, user_id)")


@migrations()
def order_of_replies(db: Database) -> None:
    """Which message of a reply comes after which: names do not always sort as they were written."""
    db.execute("ALTER TABLE replies ADD COLUMN number INTEGER NOT NULL DEFAULT 0")
    db.execute(
        """
        UPDATE replies SET number = (
            SELECT count(*) FROM replies earlier WHERE earlier.turn_id = replies.turn_id AND earlier.message < replies.message
        )
        """
    )


@migrations()
def ways_to_removals(db: Database) -> None:
    """How the place of a message is written to that is to be taken away, where its person was forgotten since."""
    db.execute("ALTER TABLE removals ADD COLUMN address TEXT")


@migrations()
def what_experts_corrected(db: Database) -> None:
    """Which words an expert's message said: what was learned from them is found again when they change or delete it."""
    db.execute("ALTER TABLE expert_replies ADD COLUMN sha256 TEXT NOT NULL DEFAULT ''")


@migrations()
def welcomes(db: Database) -> None:
    """Which places are still to be greeted."""
    db.execute("ALTER TABLE addresses ADD COLUMN owes_welcome INTEGER NOT NULL DEFAULT 0 CHECK (owes_welcome IN (0, 1))")


@migrations()
def what_experts_were_shown(db: Database) -> None:
    """Which messages show experts a hand-over, or one question of it: they are taken away with what they show."""
    db.execute(
        """
        CREATE TABLE expert_posts (
            platform TEXT NOT NULL,
            message TEXT NOT NULL,
            handover_id TEXT NOT NULL REFERENCES handovers (id) ON DELETE CASCADE,
            turn_id TEXT REFERENCES turns (id) ON DELETE CASCADE,
            PRIMARY KEY (platform, message)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX expert_posts_by_handover ON expert_posts (handover_id)")
    db.execute("CREATE INDEX expert_posts_by_turn ON expert_posts (turn_id)")


@migrations()
def what_corrections_correct(db: Database) -> None:
    """Reviewers see beside a correction what it corrects."""
    db.execute("ALTER TABLE reviews ADD COLUMN corrects TEXT")
