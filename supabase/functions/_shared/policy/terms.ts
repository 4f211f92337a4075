/**
 * Words by which the rule on minors reads a request. They are compared as whole words without accents, with and without
 * a plural's ending; `*` stands for any ending. The lists are for English first and are no more than a beginning: an app
 * adds what its users' languages need.
 */
export interface MinorsTerms {
  /** Who is under age. Ages in numbers are read without a list. */
  readonly minors: readonly string[];
  readonly sexual: readonly string[];
  /** Named in a negative prompt these ask for people who are not grown up … */
  readonly adulthood: readonly string[];
  /** … and these for people without clothes. */
  readonly clothing: readonly string[];
}

export const defaultTerms: MinorsTerms = {
  minors: [
    ...[
      "child",
      "children",
      "childlike",
      "childish",
      "kid",
      "kiddie",
      "kiddy",
      "kiddo",
      "toddler",
      "infant",
      "baby",
      "babies",
    ],
    ...["teen", "teenage", "teenaged", "teenager", "teenie", "preteen", "tween", "underage", "underaged", "under age"],
    ...[
      "minors",
      "a minor",
      "minor girl",
      "minor boy",
      "adolescent",
      "juvenile",
      "youngster",
      "prepubescent",
      "pubescent",
    ],
    ...[
      "schoolgirl",
      "schoolboy",
      "schoolchild*",
      "schoolkid",
      "school girl",
      "school boy",
      "school kid",
      "student girl",
    ],
    ...["little girl", "little boy", "young girl", "young boy", "small girl", "small boy", "loli", "lolita", "lolicon"],
    ...["shota", "shotacon", "jailbait", "kindergarten*", "preschool*", "grade school*", "elementary school*"],
    ...["primary school*", "middle school*", "junior high*", "high school*", "highschool*", "enfant", "fillette"],
    ...["madchen", "minderjahrig*", "menor de edad", "menores de edad", "crianca", "bambin*", "adolescente", "mineure"],
  ],
  sexual: [
    ...["nude", "nudes", "nudity", "naked", "nsfw", "porn*", "sex", "sexy", "sexual*", "sexuali*", "erotic*", "xxx"],
    ...["hentai", "lewd*", "topless", "bottomless", "undress*", "unclothed", "striptease", "genital*", "orgasm*"],
    ...["masturbat*", "intercourse", "fetish*", "lingerie", "seductive*", "aroused", "nipple", "breast", "bdsm"],
    ...["fellatio", "penis*", "vagina*", "vulva*", "desnud*", "nackt*", "without clothes", "no clothes", "no clothing"],
  ],
  adulthood: ["adult", "grown up", "grownup", "mature"],
  clothing: ["clothes", "clothing", "clothed", "dressed"],
};
